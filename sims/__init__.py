"""What would happen?"""

from sims.description import WORLDS, Description, described
from sims.world import World, build, nbo

__all__ = ["WORLDS", "Description", "World", "build", "described", "nbo"]
