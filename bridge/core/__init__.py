"""Pure rules: the conversation model, the turn state machine, projections. No IO, no clock, no threads."""
