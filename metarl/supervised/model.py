"""A network with what is asked of it: the losses that learners take of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from metarl.errors import ConfigError
from metarl.math.parameters import Parameters
from metarl.meta_learners.inner.meta_gradient import Path
from metarl.supervised.examples import Examples
from metarl.supervised.networks.network import Network
from metarl.supervised.objectives import CLASSIFICATION, Objective


@dataclass(frozen=True)
class Model:
    """A network and an objective.

    Args:
        training_classes: of the data; 0 in regression.
    """

    network: Network
    objective: Objective
    training_classes: int = 0

    def loss(self, parameters: Parameters, examples: Examples) -> Tensor:
        """The mean loss of examples among themselves; scalar."""
        return self.objective.loss(self.network.apply(parameters, examples.x), examples.y)

    def loss_beside(self, parameters: Parameters, support: Examples, query: Examples) -> Tensor:
        """The mean loss of queries beside their support; scalar."""
        outputs = self.network.apply_beside(parameters, support.x, query.x)
        return self.objective.loss(outputs, query.y)

    def gain(self, path: Path, support: Sequence[Examples], query: Examples) -> Tensor:
        """What an outer step climbs: minus the loss of queries at the adapted parameters (Finn et al. 2017,
        eq. 1); scalar."""
        return -self.loss_beside(path[-1], support[-1], query)

    def check_classifies(self, learner: str) -> None:
        """Refuses regression.

        Raises:
            ConfigError: of a learner that classifies.
        """
        if self.objective is not CLASSIFICATION:
            raise ConfigError(
                f"learner.name: expected a learner of values for these data, got {learner}, which classifies"
            )
