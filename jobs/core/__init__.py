"""What every step stands on: settings, params, run identity, manifest, digest, locks, checks, logging."""
