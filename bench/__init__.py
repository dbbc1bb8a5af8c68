"""The benchmark: what the gateway costs beside what else one could run. See README.md here."""
