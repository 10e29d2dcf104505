// Runs before the first paint: a theme that was chosen by hand must not flash the other one.
try {
  const theme = localStorage.getItem("kiro-chat:theme");
  if (theme === '"dark"' || theme === '"light"') document.documentElement.dataset.theme = JSON.parse(theme);
} catch {
  // No storage in this frame: the system's theme it is.
}
