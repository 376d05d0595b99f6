"""What would happen?"""

from sims.world import World, nbo

__all__ = ["World", "nbo"]
