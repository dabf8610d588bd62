"""Networks as functions of their parameters: what a config's section `network` names. May use: math."""
