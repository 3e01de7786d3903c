// Which names are answered here, by which engine; which weights are installed, and the command for those that are not.

import { get, V1 } from "../api.js";
import { bytes, t } from "../i18n.js";
import { html } from "../lib.js";
import { useLoad } from "../loading.js";
import { Page } from "../components/page.js";
import { Loaded, Note } from "../components/states.js";
import { Table } from "../components/table.js";
import { Command } from "./copy.js";

export default function Models() {
  const models = useLoad((signal) => get(`${V1}/models`, {}, { signal }));
  return html`<${Page} title=${t("models.title")} lead=${t("models.lead")}>
    <${Loaded} from=${models}>${(told) => html`
      <${Installed} weights=${told.installed} />
      <${Installable} weights=${told.available} />
      <${Names} models=${told.models} />`}<//>
  <//>`;
}

const codes = (languages) => languages.slice(0, 8).join(", ") + (languages.length > 8 ? " …" : "");

function Installed({ weights }) {
  const columns = [
    { title: t("models.name"), draw: ({ name }) => name },
    { title: t("models.family"), draw: ({ family }) => family },
    { title: t("models.languages"), draw: ({ languages }) => codes(languages) },
  ];
  return html`<section class="stack close" aria-labelledby="models-installed"><h2 id="models-installed">${t("models.installed")}</h2>
    ${weights.length ? html`<${Table} label=${t("models.installed")} columns=${columns} rows=${weights} keyOf=${({ name }) => name} />`
      : html`<${Note}><p>${t("models.noneInstalled")}</p><//>`}
  </section>`;
}

function Installable({ weights }) {
  if (!weights.length) return null;
  return html`<section class="stack close" aria-labelledby="models-missing"><h2 id="models-missing">${t("models.missing")}</h2>
    <p class="soft">${t("models.missingText")}</p>
    <div class="cards">${weights.map(({ name, languages, size_bytes: size, license, command }) => html`<article class="card stack close" key=${name}>
      <header><div><h3>${name}</h3><p class="soft"><small>${[size && bytes(size), codes(languages), license].filter(Boolean).join(" · ")}</small></p></div></header>
      <${Command} text=${command} />
    </article>`)}</div>
  </section>`;
}

function Names({ models }) {
  const columns = [
    { title: t("models.model"), draw: ({ name }) => name },
    { title: t("models.runs"), draw: ({ runs, engine }) => (runs ? html`<span class="tag good">${engine}</span>` : html`<span class="tag">${t("models.no")}</span>`) },
    { title: t("models.call"), draw: ({ call }) => t(`models.call.${call}`) },
    { title: t("models.why"), draw: ({ why, reason, alias_of: alias }) => html`<span lang="en">${why ?? reason}</span>${alias && html` <small class="soft">→ ${alias}</small>`}` },
  ];
  return html`<section class="stack close" aria-labelledby="models-names"><h2 id="models-names">${t("models.names")}</h2>
    <p class="soft">${t("models.namesText")}</p>
    <${Table} label=${t("models.names")} columns=${columns} rows=${models} keyOf=${({ name }) => name} />
  </section>`;
}
