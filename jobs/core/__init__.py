"""The base of every step: settings, parameters, run identity, manifest, digests, locks, errors."""
