// Hotword lists: names and terms that are to be recognized.

import { get, V1 } from "../api.js";
import { instant, shownAt, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { Button } from "../components/button.js";
import { confirm, Dialog } from "../components/dialog.js";
import { Select, TextArea, TextField } from "../components/field.js";
import { Page } from "../components/page.js";
import { Empty, ErrorNote, Loaded } from "../components/states.js";
import { toast } from "../components/toast.js";
import { CopyButton } from "./copy.js";
import { allLists, createList, deleteList, linesOf, updateList, wordsOf } from "./vocabularies.js";

export default function Hotwords() {
  const lists = useLoad((signal) => allLists({ signal }));
  const [edited, setEdited] = useState(null); // a list, {} for a new one
  const saved = (text) => { setEdited(null); lists.reload(); toast(text); };
  const action = html`<${Button} kind="primary" icon="plus" onClick=${() => setEdited({})}>${t("hotwords.new")}<//>`;
  return html`<${Page} title=${t("hotwords.title")} lead=${t("hotwords.lead")} actions=${action}>
    <${Loaded} from=${lists}>${(found) => found.length === 0
      ? html`<${Empty} icon="words" title=${t("hotwords.emptyTitle")} action=${action}>${t("hotwords.empty")}<//>`
      : html`<div class="cards">${found.map((list) => html`<${List} key=${list.id} list=${list} onEdit=${() => setEdited(list)} onGone=${lists.reload} />`)}</div>`}<//>
    ${edited && html`<${Editor} list=${edited} onClose=${() => setEdited(null)} onSaved=${saved} />`}
  <//>`;
}

function List({ list, onEdit, onGone }) {
  const { id, target_model: model, words, gmt_modified: changed } = list;
  const { me } = useStore(session);
  // The service's interface tells times without a zone: in that of the server.
  const about = [model, t("hotwords.count", { count: words.length }), me && t("hotwords.changed", { at: instant(shownAt(changed, me.time_zone)) })];
  const remove = () => confirm({
    title: t("hotwords.deleteTitle"),
    text: t("hotwords.deleteText", { id }),
    action: t("action.delete"),
    danger: true,
    act: () => deleteList(id),
  }).then((done) => { if (done) { toast(t("hotwords.deleted")); onGone(); } });
  return html`<article class="card stack close">
    <header>
      <div><h2>${id}</h2><p class="soft"><small>${about.filter(Boolean).join(" · ")}</small></p></div>
      <div class="buttons">
        <${CopyButton} text=${id} label=${t("hotwords.copyId", { id })} />
        <${Button} kind="small" icon="edit" onClick=${onEdit}>${t("action.edit")}<//>
        <${Button} kind="small quiet" icon="trash" label=${t("hotwords.deleteOf", { id })} onClick=${remove} />
      </div>
    </header>
    <p class="words-sample" dir="auto">${words.map(({ text }) => text).join(t("hotwords.separator"))}</p>
  </article>`;
}

function Editor({ list, onClose, onSaved }) {
  const fresh = !list.id;
  const [text, setText] = useState(fresh ? "" : linesOf(list.words));
  const [prefix, setPrefix] = useState("");
  const [model, setModel] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const models = useLoad(async (signal) => {
    const told = await get(`${V1}/models`, {}, { signal });
    return told.models.filter((one) => one.parameters.includes("vocabulary_id")).map(({ name }) => name);
  });
  const target = model || models.data?.[0];
  const words = wordsOf(text);
  const save = async () => {
    setBusy(true);
    setError(null);
    try {
      if (fresh) await createList(prefix.trim(), target, words);
      else await updateList(list.id, words);
      onSaved(t("hotwords.saved", { count: words.length }));
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" busy=${busy} disabled=${!words.length || (fresh && !(prefix.trim() && target))} onClick=${save}>${t("action.save")}<//>`;
  return html`<${Dialog} wide title=${fresh ? t("hotwords.new") : list.id} onClose=${onClose} actions=${actions}>
    ${fresh && html`<div class="two">
      <${TextField} label=${t("hotwords.prefix")} hint=${t("hotwords.prefixHint")} value=${prefix} onValue=${setPrefix} pattern="[a-z0-9]{1,10}" maxlength="10" />
      <${Select} label=${t("hotwords.model")} hint=${t("hotwords.modelHint")} value=${target} options=${(models.data ?? []).map((name) => [name, name])} onValue=${setModel} />
    </div>`}
    <${TextArea} label=${t("hotwords.words")} hint=${t("hotwords.wordsHint")} value=${text} onValue=${setText} rows="12" spellcheck="false"
      placeholder=${"Kestrel Bridge, 5, en\n海拉尔"} />
    <p class="soft number">${t("hotwords.count", { count: words.length })}</p>
    ${(error ?? models.error) && html`<${ErrorNote} error=${error ?? models.error} />`}
  <//>`;
}
