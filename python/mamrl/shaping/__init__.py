"""Opponent shaping: learning rules with exact values (naive to SOS, COLA, MeVa), and from samples (LOLA-DiCE).

May import from ``meta`` and everything before it.
"""
