// API keys, and what was transcribed with them.

import { del, get, post, V1 } from "../api.js";
import { duration, instant, t } from "../i18n.js";
import { html, useState } from "../lib.js";
import { useLoad } from "../loading.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { Button } from "../components/button.js";
import { confirm, Dialog } from "../components/dialog.js";
import { TextField } from "../components/field.js";
import { Page } from "../components/page.js";
import { ErrorNote, Loaded, Note } from "../components/states.js";
import { Table } from "../components/table.js";
import { toast } from "../components/toast.js";
import { Command } from "./copy.js";
import { Usage } from "./usage.js";

const HOUR_S = 3600;

export default function Keys() {
  const keys = useLoad((signal) => get(`${V1}/keys`, {}, { signal }));
  const [asking, setAsking] = useState(false);
  const { me } = useStore(session);
  const action = me?.may_manage_keys && html`<${Button} kind="primary" icon="plus" onClick=${() => setAsking(true)}>${t("keys.new")}<//>`;
  return html`<${Page} title=${t("keys.title")} lead=${t("keys.lead")} actions=${action}>
    <section class="stack" aria-labelledby="keys-usage"><h2 id="keys-usage">${t("usage.title")}</h2><${Usage} /></section>
    <section class="stack" aria-labelledby="keys-list"><h2 id="keys-list">${t("keys.list")}</h2>
      ${me && !me.may_manage_keys && html`<${Note}><p>${t("keys.notByThis")}</p><//>`}
      <${Loaded} from=${keys}>${(told) => html`<${List} keys=${told.keys.filter((key) => !key.revoked_at)} me=${me} onGone=${keys.reload} />`}<//>
    </section>
    ${asking && html`<${NewKey} onMade=${keys.reload} onClose=${() => setAsking(false)} />`}
  <//>`;
}

function List({ keys, me, onGone }) {
  if (!keys.length) return html`<${Note}><p>${t("keys.none")}</p><//>`;
  const remove = ({ id, name }) => confirm({
    title: t("keys.deleteTitle", { name }),
    text: t("keys.deleteText"),
    action: t("action.delete"),
    danger: true,
    act: () => del(`${V1}/keys/${encodeURIComponent(id)}`),
  }).then((done) => { if (done) { toast(t("keys.deleted", { name })); onGone(); } });
  const columns = [
    { title: t("keys.name"), draw: ({ id, name }) => html`${name || t("keys.unnamed")} ${id === me?.key_id && html`<span class="tag plain busy">${t("keys.this")}</span>`}` },
    { title: t("keys.hint"), draw: ({ hint }) => html`<code>${hint}</code>` },
    { title: t("keys.quota"), end: true, draw: ({ quota_seconds: quota }) => (quota ? duration(quota * 1000) : t("keys.noQuota")) },
    { title: t("keys.used"), end: true, draw: ({ used_ms: used }) => duration(used) },
    { title: t("keys.created"), draw: ({ created_at: at }) => instant(at) },
    { title: html`<span class="unseen">${t("action.delete")}</span>`, tight: true, draw: (key) => key.id !== me?.key_id && me?.may_manage_keys
      && html`<${Button} kind="small quiet" icon="trash" label=${t("keys.deleteOf", { name: key.name })} onClick=${() => remove(key)} />` },
  ];
  return html`<${Table} label=${t("keys.list")} columns=${columns} rows=${keys} keyOf=${({ id }) => id} />`;
}

/** Makes a key and shows it, once: the server keeps no copy of it that can be read. */
function NewKey({ onMade, onClose }) {
  const [name, setName] = useState("");
  const [hours, setHours] = useState("");
  const [made, setMade] = useState(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const quota = hours.trim() === "" ? undefined : Math.round(Number(hours) * HOUR_S);
  const wrong = quota !== undefined && !(quota > 0) ? t("keys.quotaWrong") : "";
  const make = async () => {
    setBusy(true);
    setError(null);
    try {
      setMade(await post(`${V1}/keys`, { name: name.trim(), ...(quota && { quota_seconds: quota }) }));
      onMade();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  if (made) {
    const done = html`<${Button} kind="primary" onClick=${onClose}>${t("keys.noted")}<//>`;
    return html`<${Dialog} title=${t("keys.made", { name: name.trim() })} onClose=${onClose} actions=${done}>
      <p>${t("keys.once")}</p><${Command} text=${made.key} />
    <//>`;
  }
  const actions = html`<${Button} onClick=${onClose}>${t("action.cancel")}<//>
    <${Button} kind="primary" busy=${busy} disabled=${!name.trim() || wrong} onClick=${make}>${t("keys.make")}<//>`;
  return html`<${Dialog} title=${t("keys.new")} onClose=${onClose} actions=${actions}>
    <${TextField} label=${t("keys.name")} hint=${t("keys.nameHint")} value=${name} onValue=${setName} maxlength="60" />
    <${TextField} label=${t("keys.quotaHours")} hint=${t("keys.quotaHint")} wrong=${wrong} value=${hours} onValue=${setHours} inputmode="decimal" />
    ${error && html`<${ErrorNote} error=${error} />`}
  <//>`;
}
