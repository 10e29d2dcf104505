// Lets node read the page's files as what a browser takes them for: modules, though no package.json beside them says so.

import { register } from "node:module";

const hook = `export const load = (url, context, next) =>
  next(url, url.includes("/bridge/web/static/") ? { ...context, format: "module" } : context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
