"""The version that runs and results are made with; the wheel takes it from here."""

VERSION = "0.2.0.dev0"
