"""The command ``manualbp``."""
