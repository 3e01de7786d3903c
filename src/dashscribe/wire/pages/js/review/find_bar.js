// Find and replace, in place of the browser's own, which sees only the rows that are on the screen.

import { t } from "../i18n.js";
import { html, useEffect, useRef } from "../lib.js";
import { Button } from "../components/button.js";
import { isComposing } from "../components/field.js";

export function FindBar({ finding, canReplace, onClose }) {
  const { at, count, go, replace, set } = finding;
  const input = useRef(null);
  useEffect(() => {
    input.current.focus();
    input.current.select();
  }, [finding.asked]);
  const change = (part) => set({ at: 0, ...part });
  const press = (event) => {
    if (isComposing(event)) return;
    if (event.key === "Enter" && event.target.type === "text") {
      event.preventDefault();
      if (event.target !== input.current) replace(event.ctrlKey || event.metaKey);
      else if (count) go(event.shiftKey ? -1 : 1);
    }
    if (event.key === "Escape") onClose();
  };
  const told = finding.wanted && (count ? t("review.foundAt", { at: at + 1, count }) : t("review.foundNone"));
  return html`<form class="find" role="search" aria-label=${t("review.find")} onKeyDown=${press} onSubmit=${(event) => event.preventDefault()}>
    <div class="row">
      <input class="input" ref=${input} type="text" value=${finding.wanted} placeholder=${t("review.find")} aria-label=${t("review.findWhat")}
        onInput=${(event) => change({ wanted: event.target.value })} />
      <span class="count number" role="status">${told}</span>
      <span class="steps">
        <${Button} kind="quiet small" icon="back" label=${t("review.findBefore")} disabled=${!count} onClick=${() => go(-1)} />
        <${Button} kind="quiet small" icon="next" label=${t("review.findNext")} disabled=${!count} onClick=${() => go(1)} />
      </span>
      <label class="toggle"><input type="checkbox" checked=${finding.matchCase} onChange=${(event) => change({ matchCase: event.target.checked })} />${t("review.matchCase")}</label>
      <label class="toggle"><input type="checkbox" checked=${finding.wholeWords} onChange=${(event) => change({ wholeWords: event.target.checked })} />${t("review.wholeWords")}</label>
      <${Button} kind="quiet small" class="end" icon="close" label=${t("action.close")} onClick=${onClose} />
    </div>
    ${canReplace && html`<div class="row">
      <input class="input" type="text" value=${finding.by} placeholder=${t("review.replaceBy")} aria-label=${t("review.replaceBy")}
        onInput=${(event) => set({ by: event.target.value })} />
      <${Button} kind="small" disabled=${!count} onClick=${() => replace(false)}>${t("review.replace")}<//>
      <${Button} kind="small" disabled=${!count} onClick=${() => replace(true)}>${t("review.replaceAll")}<//>
    </div>`}
  </form>`;
}
