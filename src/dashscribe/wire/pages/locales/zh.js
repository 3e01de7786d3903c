// 中文。页面的每个部分各有一个文件，键以该部分的名字开头。

import core from "./core.zh.js";
import library from "./library.zh.js";
import fresh from "./new.zh.js";
import review from "./review.zh.js";
import settings from "./settings.zh.js";

export default { ...core, ...library, ...fresh, ...settings, ...review };
