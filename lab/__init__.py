"""The lab: a private internet for the demo, the system tests and the conformance suite."""
