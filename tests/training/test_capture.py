"""A recorded and replayed iteration is the iteration, shown on the CPU by a recorder that does as CUDA graphs do."""

import copy
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mamrl import preset
from mamrl.config.setting import build
from mamrl.training import capture
from mamrl.training.learner import Learner, why_not_captured

SMALL = {"num_trajectories": 4, "horizon": 6, "chain_length": 2, "chains": 3, "iterations": 12}
KINDS = {
    "tabular": {"agent": "tabular"},
    "lstm": {"agent": "lstm", "hidden_size": 5},
    "published": {"agent": "lstm", "hidden_size": 5, "estimator": "published", "inner_objective": "dice"},
    "entropy": {"agent": "lstm", "hidden_size": 5, "entropy_weight": 0.1, "amsgrad": True},
    "sampled": {"agent": "tabular", "estimator": "sampled", "chain_grad_clip": 1.0},
    "reinforce": {"agent": "tabular", "algorithm": "reinforce", "discounted_outer": True},
    "lola-dice": {"agent": "tabular", "algorithm": "lola-dice", "lookahead": 2},
    "opponent model": {"agent": "tabular", "opponent_model": True},
    "three players": {"agent": "tabular", "game": "rps", "num_players": 3},
}
HOST_SIDE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.nondeterministic_seeded}


class Operations(TorchDispatchMode):
    """Keeps every operation with its tensors and numbers; refuses what a CUDA graph refuses, or would freeze.

    That is: numbers read from tensors, tensors made of Python's numbers, shapes that depend on values, random draws,
    and tensors of another device.
    """

    def __init__(self, device):
        super().__init__()
        self.device, self.calls = torch.device(device), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert not HOST_SIDE & set(func.tags), f"{func} in a recording"
        assert func is not torch.ops.aten.lift_fresh.default, "a tensor of Python's numbers in a recording"
        result = func(*args, **kwargs)
        for tensor in tensors((args, kwargs, result)):
            assert tensor.device == self.device, f"{func} on {tensor.device} in a recording on {self.device}"
        self.calls.append((func, args, kwargs, result))
        return result

    def replay(self):
        """The same operations on the same memory."""
        for func, args, kwargs, result in self.calls:
            with torch._C._AutoDispatchBelowAutograd():
                again = func(*args, **kwargs)
                memory = {tensor.untyped_storage().data_ptr() for tensor in tensors((args, kwargs))}
                for kept, new in zip(tensors(result), tensors(again), strict=True):
                    # views, and what is written in place, are in place already
                    if kept.untyped_storage().data_ptr() not in memory:
                        kept.copy_(new)


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


class OperationsRecorder:
    """Stands in for its GraphRecorder; to record a function is to run it, its first replay."""

    def __init__(self, device):
        self.device, self.recordings, self.replays = device, 0, 0

    def warm_up(self, compute):
        return compute()

    def record(self, compute):
        self.recordings += 1
        operations = Operations(self.device)
        with operations:
            result = compute()
        done = [True]

        def replay():
            self.replays += 1
            if not done:
                operations.replay()
            done.clear()
            return result

        return replay


@pytest.fixture
def recorders(monkeypatch):
    """Makes the CPU, and tensors without numbers, devices that record; returns the recorders that are made."""
    made = []

    def recorder(device):
        made.append(OperationsRecorder(device))
        return made[-1]

    for kind in ("cpu", "meta"):
        monkeypatch.setitem(capture.RECORDERS, kind, recorder)
    # torch lets Adam count its steps on a GPU only
    adam = sys.modules[torch.optim.Adam.__module__]
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda *_, **__: ["cpu", "meta"])
    return made


def learner(device="cpu", **fields):
    setting = build(preset("ipd-tabular").replace(**(SMALL | {"lr_decay": True} | fields)))
    return Learner(setting.to(torch.device(device)), seed=1)


def assert_same(ours, other):
    for name in ("parameters", "own_lr", "value_parameters"):
        assert torch.equal(getattr(ours, name), getattr(other, name)), name


@pytest.mark.parametrize("kind", KINDS)
def test_replayed_iterations_are_the_iterations(kind, recorders, monkeypatch):
    # other peers, keys, learning rates and steps of Adam each time, and bit for bit what they are without a recording
    recorded = learner(**KINDS[kind])
    records = [recorded.step() for _ in range(8)]
    assert recorders[0].recordings == 1
    assert recorders[0].replays == 8 - capture.WARM_UP
    monkeypatch.setattr(capture, "WARM_UP", 8)
    plain = learner(**KINDS[kind])
    assert records == [plain.step() for _ in range(8)]
    assert recorders[1].recordings == 0
    assert_same(recorded, plain)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_graphs_replay_the_iteration(kind, monkeypatch):
    recorded = learner("cuda", **KINDS[kind])
    records = [recorded.step() for _ in range(8)]
    monkeypatch.setattr(capture, "WARM_UP", 8)
    plain = learner("cuda", **KINDS[kind])
    assert records == [plain.step() for _ in range(8)]
    assert_same(recorded, plain)


def test_a_step_that_can_be_recorded_is_a_step(recorders):
    # Adam's rates are float32 numbers where it can be recorded, and Python's elsewhere
    recorded = learner(**KINDS["lstm"])
    plain = Learner(recorded.setting, seed=1, capture=False)
    start = plain.parameters.clone()
    for _ in range(5):
        recorded.step(), plain.step()
    assert len(recorders) == 1
    moved = float((plain.parameters - start).abs().max())
    torch.testing.assert_close(recorded.parameters, plain.parameters, rtol=0, atol=1e-4 * moved)


def test_a_learning_rate_of_zero_changes_nothing(recorders):
    ours = learner(agent="tabular", own_lr_lr=0.0)
    before = ours.own_lr.clone()
    for _ in range(5):
        ours.step()
    assert torch.equal(ours.own_lr, before)


def test_nothing_in_a_recording_is_on_another_device(recorders):
    for kind in KINDS:
        ours = learner("meta", **KINDS[kind])
        for _ in range(capture.WARM_UP + 2):
            ours.advance()
        assert recorders[-1].recordings == 1


@pytest.mark.parametrize("steps", [1, 5])
def test_a_restored_learner_records_anew(steps, recorders):
    whole, restored = learner(**KINDS["entropy"]), learner(**KINDS["entropy"])
    for _ in range(steps):
        whole.step(), restored.step()
    state = copy.deepcopy(whole.state())
    restored.step()
    restored.restore(state)
    for _ in range(6):
        assert restored.step() == whole.step()
    assert_same(restored, whole)


def test_what_is_decided_on_the_host_is_not_recorded(recorders):
    for fields, why in (
        ({"agent": "tabular", "pcgrad": True}, "PCGrad projects"),
        ({"agent": "tabular-exact"}, "the exact chain waits"),
    ):
        ours = learner(**fields)
        assert why_not_captured(ours.setting.experiment).startswith(why)
        assert not ours.captured
        ours.step()
    assert not recorders
    assert not why_not_captured(learner(agent="tabular", pcgrad=True, chains=1).setting.experiment)
