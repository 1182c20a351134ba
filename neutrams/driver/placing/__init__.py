"""From units to crossbars, tiles and routers: copies, rounds, several networks on one chip."""
