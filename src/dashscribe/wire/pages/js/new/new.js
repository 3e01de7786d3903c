// A new transcription: files or links, how they are to be transcribed, and how far the files are.

import { t } from "../i18n.js";
import { html, useEffect, useState } from "../lib.js";
import { go } from "../router.js";
import { session } from "../session.js";
import { useStore } from "../store.js";
import { Button } from "../components/button.js";
import { Page } from "../components/page.js";
import { ErrorNote, Loaded } from "../components/states.js";
import { toast } from "../components/toast.js";
import { useChoices } from "./choices.js";
import { OptionsForm } from "./form.js";
import { keepOptions, lastOptions } from "./options.js";
import { DropZone, Links } from "./sources.js";
import { parameters, submit } from "./submit.js";
import { order, takeUp, uploads } from "./uploads.js";
import { UploadList } from "./upload_list.js";

export default function New() {
  const { me } = useStore(session);
  const items = useStore(uploads);
  const [links, setLinks] = useState("");
  const [options, setOptions] = useState(lastOptions);
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState([]);
  const choices = useChoices(options);
  useEffect(() => { if (me) void takeUp(); }, [me]);

  const urls = links.split(/\s+/).filter(Boolean);
  const waiting = items.filter((item) => item.state !== "submitted" && !item.order);
  const model = choices.data && modelOf(options, choices.data);
  const start = async (event) => {
    event.preventDefault();
    setBusy(true);
    keepOptions(options);
    const censor = options.censored ? choices.data.censor : null;
    const what = { model: model.name, input: model.input, parameters: parameters({ ...options, censor }, model) };
    order(what);
    const failed = await submitLinks(urls, what);
    setErrors(failed);
    setLinks(failed.map(({ url }) => url).join("\n"));
    setBusy(false);
    if (failed.length) return;
    const files = waiting.length;
    if (files) toast(t("new.filesFollow", { count: files }), { action: { label: t("nav.library"), run: () => go("/library") } });
    else go("/library");
  };

  return html`<${Page} title=${t("new.title")} lead=${t("new.lead")}>
    <form class="new" onSubmit=${start}>
      <section class="stack" aria-labelledby="new-sources"><h2 id="new-sources">${t("new.sources")}</h2>
        <${DropZone} most=${me?.max_upload_bytes} />
        <${UploadList} items=${items} />
        <${Links} text=${links} onText=${setLinks} />
        ${errors.map(({ url, error }) => html`<div class="stack close" key=${url}><p class="mono">${url}</p><${ErrorNote} error=${error} /></div>`)}
      </section>
      <section class="stack" aria-labelledby="new-options"><h2 id="new-options">${t("new.options")}</h2>
        <${Loaded} from=${choices}>${(data) => html`<${OptionsForm} options=${options} onOptions=${setOptions} choices=${data} model=${model} />`}<//>
      </section>
      <div class="start"><${Button} type="submit" kind="primary" icon="play" busy=${busy} disabled=${!model || !(waiting.length + urls.length)}>
        ${waiting.length + urls.length ? t("new.start", { count: waiting.length + urls.length }) : t("new.startNone")}<//></div>
    </form>
  <//>`;
}

/** The model that would be used: the chosen one while it can run, else the one that the server suggests, if any. */
function modelOf(options, { models, suggested }) {
  const runs = models.filter((model) => model.runs);
  return runs.find(({ name }) => name === options.model) ?? runs.find(({ name }) => name === suggested[0]?.name);
}

/** Each link is a task of its own, so that one bad address harms no other. */
async function submitLinks(urls, what) {
  const failed = [];
  for (const url of urls) {
    try {
      await submit(url, what, `pages-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`);
    } catch (error) {
      failed.push({ url, error });
    }
  }
  return failed;
}
