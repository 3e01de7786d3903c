// English. Each area of the pages has a file of its own; keys begin with the area's name.

import core from "./core.en.js";
import library from "./library.en.js";
import fresh from "./new.en.js";
import review from "./review.en.js";
import settings from "./settings.en.js";

export default { ...core, ...library, ...fresh, ...settings, ...review };
