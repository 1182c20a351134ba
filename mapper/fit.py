"""The smallest chip that fits, as options of the command line."""

from __future__ import annotations

from math import isqrt

from neutrams.ir.traffic import Mesh


def mesh_settings(tiles: int, mesh: Mesh, per_router: int) -> list[str]:
    """Return options for a nearly square mesh with so many sites; none if ``mesh`` has them."""
    if tiles <= mesh.slots * per_router:
        return []
    routers = -(-tiles // per_router)
    columns = isqrt(routers - 1) + 1
    rows = -(-routers // columns)
    return [f"--set network.columns={columns}", f"--set network.rows={rows}"]


def chip_settings(tiles: int, mesh: Mesh | None, per_router: int) -> str:
    """Return options for a chip of so many tiles, with a larger mesh where it needs one."""
    options = mesh_settings(tiles, mesh, per_router) if mesh else []
    return " ".join([f"--set chip.tiles={tiles}", *options])
