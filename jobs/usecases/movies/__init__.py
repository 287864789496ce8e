"""Movie recommendations: what the platform must know of them."""
