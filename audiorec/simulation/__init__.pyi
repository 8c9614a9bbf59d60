from audiorec.simulation.world import NOTE as NOTE
from audiorec.simulation.world import World as World
from audiorec.simulation.world import WorldSpec as WorldSpec
from audiorec.simulation.world import simulate as simulate
from audiorec.simulation.world import simulate_world as simulate_world
