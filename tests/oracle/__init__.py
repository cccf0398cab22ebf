"""Independent rebuilds in other frameworks, which the parity tests compare minihgd with."""
