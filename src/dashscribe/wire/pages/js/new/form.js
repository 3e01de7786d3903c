// The options, each with one sentence about it; only those that the model takes are shown.

import { languageName, number, t } from "../i18n.js";
import { html } from "../lib.js";
import { link } from "../router.js";
import { Check, Field, Select, TextArea } from "../components/field.js";
import { Note } from "../components/states.js";
import { Presets } from "./presets.js";

const COMMON = ["zh", "en", "zh,en", "yue", "ja", "ko"];
const SPEAKERS = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/** `choices` are useChoices()'s; `model` is the row of the model that would be used, undefined where none can be. */
export function OptionsForm({ options, onOptions, choices, model }) {
  const set = (name) => (value) => onOptions({ ...options, [name]: value });
  const runs = choices.models.filter((one) => one.runs);
  const nothing = (key) => html`<${Note} kind="warn"><strong>${t(key)}</strong><a href=${link("/models")}>${t("nav.models")}</a><//>`;
  if (!runs.length) return nothing("new.noModel");
  return html`<div class="options">
    <${Presets} options=${options} onOptions=${onOptions} />
    <${Languages} options=${options} set=${set("languages")} models=${options.model && model ? [model] : runs} />
    ${model ? html`<${Model} options=${options} set=${set("model")} choices=${choices} model=${model} />
      <${Settings} options=${options} onOptions=${onOptions} choices=${choices} model=${model} />` : nothing("new.noModelSuits")}
  </div>`;
}

/** What else a model takes. */
export function Settings({ options, onOptions, choices, model }) {
  const set = (name) => (value) => onOptions({ ...options, [name]: value });
  const takes = (name) => model.parameters.includes(name);
  return html`
    ${takes("diarization_enabled") && html`<${Select} label=${t("new.speakers")} hint=${t("new.speakersHint")} value=${options.speakers}
      options=${SPEAKERS.map((count) => [count, t(["new.speakers0", "new.speakers1"][count] ?? "new.speakersN", { count })])}
      onValue=${(value) => set("speakers")(Number(value))} />`}
    ${takes("vocabulary_id") && html`<${Vocabulary} options=${options} set=${set("vocabulary")} lists=${choices.lists} />`}
    <details class="more"><summary>${t("new.more")}</summary><div class="options">
      <${Select} label=${t("new.channels")} hint=${t("new.channelsHint")} value=${options.channels}
        options=${[1, 2].map((count) => [count, t(`new.channels${count}`)])} onValue=${(value) => set("channels")(Number(value))} />
      ${takes("context") && html`<${TextArea} label=${t("new.context")} hint=${t("new.contextHint")} value=${options.context} onValue=${set("context")} rows="3" />`}
      ${takes("enable_itn") && html`<${Check} label=${t("new.itn")} hint=${t("new.itnHint")} checked=${options.itn} onValue=${set("itn")} />`}
      ${takes("disfluency_removal_enabled") && html`<${Check} label=${t("new.fillers")} hint=${t("new.fillersHint")} checked=${options.fillers} onValue=${set("fillers")} />`}
      ${takes("timestamp_alignment_enabled") && html`<${Check} label=${t("new.align")} hint=${t("new.alignHint")} checked=${options.align} onValue=${set("align")} />`}
      ${takes("special_word_filter") && html`<${Check} label=${t("new.censored")} hint=${choices.censor ? t("new.censoredHint") : t("new.censoredNone")}
        checked=${options.censored && Boolean(choices.censor)} disabled=${!choices.censor} onValue=${set("censored")} />`}
      ${takes("speech_noise_threshold") && html`<${Noise} value=${options.noise} set=${set("noise")} />`}
    </div></details>`;
}

/** The languages that one of the models knows; which of them is suggested follows from what is chosen. */
export function Languages({ options, set, models }) {
  const told = (codes) => codes.split(",").map(languageName).join(" + ");
  const hints = [...new Set(models.flatMap((model) => model.language_hints))];
  const usual = COMMON.filter((codes) => models.some((model) => codes.split(",").every((code) => model.language_hints.includes(code))));
  const others = hints.filter((code) => !COMMON.includes(code)).map((code) => [code, languageName(code)]);
  others.sort(([, left], [, right]) => left.localeCompare(right));
  const chosen = options.languages.join(",");
  const known = chosen === "" || usual.includes(chosen) || others.some(([code]) => code === chosen);
  const all = [["", t("new.languageAuto")], ...usual.map((codes) => [codes, told(codes)]), ...others, ...(known ? [] : [[chosen, told(chosen)]])];
  return html`<${Select} label=${t("new.language")} hint=${t("new.languageHint")} value=${chosen} options=${all}
    onValue=${(value) => set(value ? value.split(",") : [])} />`;
}

function Model({ options, set, choices, model }) {
  const { models, suggested } = choices;
  const best = suggested[0]?.name;
  const text = ({ name, runs }) => (runs ? name : t("new.notInstalled", { name }));
  const reasons = suggested.find(({ name }) => name === model.name)?.reasons ?? [];
  const isFallen = options.model && options.model !== model.name;
  const isUnsuited = options.model && !isFallen && !suggested.some(({ name }) => name === model.name);
  const wrong = isFallen ? t("new.modelFallen", { name: options.model }) : isUnsuited ? t("new.modelUnsuited", { name: model.name }) : "";
  const hint = html`${t("new.engine", { engine: model.engine })}${reasons.length > 0 && html` · <span lang="en">${reasons.join(" · ")}</span>`}`;
  return html`<${Field} label=${t("new.model")} hint=${hint} wrong=${wrong}>
    ${(given) => html`<select class="select" ...${given} onChange=${(event) => set(event.target.value)}>
      <option value="" selected=${!options.model}>${best ? t("new.suggested", { name: best }) : t("new.anyModel")}</option>
      ${models.map((one) => html`<option key=${one.name} value=${one.name} disabled=${!one.runs} selected=${one.name === options.model}>${text(one)}</option>`)}
    </select>`}
  <//>`;
}

function Vocabulary({ options, set, lists }) {
  const told = lists.map(({ id, target_model: target, words }) => [id, t("new.list", { id, target, count: words.length })]);
  const hint = html`${t("new.vocabularyHint")} <a href=${link("/hotwords")}>${t("nav.hotwords")}</a>`;
  const gone = options.vocabulary && !lists.some(({ id }) => id === options.vocabulary);
  return html`<${Select} label=${t("new.vocabulary")} hint=${hint} wrong=${gone ? t("new.vocabularyGone") : ""} value=${options.vocabulary}
    options=${[["", t("new.none")], ...told, ...(gone ? [[options.vocabulary, options.vocabulary]] : [])]} onValue=${set} />`;
}

function Noise({ value, set }) {
  return html`<${Field} label=${t("new.noise")} hint=${t("new.noiseHint")}>
    ${(given) => html`<div class="row"><input class="grow" type="range" min="-1" max="1" step="0.1" value=${value} ...${given} onInput=${(event) => set(Number(event.target.value))} />
      <output class="number">${number(value, { minimumFractionDigits: 1 })}</output></div>`}
  <//>`;
}
