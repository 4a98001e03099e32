"""A game and a policy of one's own: Meta-MAPG with a small torch module in a stag hunt with other payoffs."""

import torch
from torch import nn

from mamrl import preset, train
from mamrl.config.setting import Setting
from mamrl.games import symmetric_game
from mamrl.policies import TabularPolicy
from mamrl.policies.module import ModulePolicy
from mamrl.populations.personas import personas_for


class Memory(nn.Module):
    """Logits from the last joint action, through an embedding."""

    def __init__(self, num_states: int, num_actions: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.1 * torch.randn(num_states, 8))
        self.head = nn.Linear(8, num_actions)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.embedding[states]))


def main(iterations: int = 10, horizon: int = 50) -> None:
    torch.manual_seed(0)
    game = symmetric_game([[2.0, -1.0], [1.0, 0.5]], "my stag hunt", ("Stag", "Hare"))
    sizes = {"iterations": iterations, "validation_every": 5, "num_trajectories": 16, "horizon": horizon}
    experiment = preset("ipd-tabular").replace(**sizes)
    policies = (ModulePolicy(Memory(game.num_states, 2), game.num_states, 2, memoryless=True), TabularPolicy(5, 2))
    setting = Setting(experiment, game, policies, personas_for(game), value_network=None)
    print(train(setting, seed=0).test(repeats=1).table())


if __name__ == "__main__":
    main()
