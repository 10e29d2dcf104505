"""Settings, declared once and read from flags, environment, a YAML file and defaults."""

from __future__ import annotations

from bridge.settings.declaration import Setting as Setting
from bridge.settings.declared import SETTINGS as SETTINGS
from bridge.settings.declared import Settings as Settings
from bridge.settings.loading import load as load
from bridge.settings.loading import unknown_variables as unknown_variables
