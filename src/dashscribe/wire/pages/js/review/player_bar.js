// What is pressed to listen: play, back and forth, speed, the picture of the sound.

import { clock, percent, t } from "../i18n.js";
import { html } from "../lib.js";
import { Button } from "../components/button.js";
import { Note } from "../components/states.js";
import { RATES } from "./player.js";
import { SPEAKER_COLORS } from "./view.js";

export const JUMP_MS = 5000;
const DOUBTS = [0, 0.4, 0.6, 0.8, 0.95];
const INKS = ["wave", "pause", "failure", ...Array.from({ length: SPEAKER_COLORS }, (_, at) => `speaker-${at}`)];

export function PlayerBar({ player, wave, into, duration, unsure, onUnsure, hasConfidence, following, onFollow }) {
  const isPlaying = player?.isPlaying ?? false;
  const jump = (ms) => player.seek(player.ms + ms);
  const silent = player?.trouble;
  return html`<section class="player" aria-label=${t("review.player")}>
    ${silent && html`<${Note} kind=${silent === "made" ? "" : "warn"}><p role="status">${t(`review.sound.${silent}`)}</p><//>`}
    <div class="panel overview" ref=${into("overview")} role="slider" tabindex="0" aria-label=${t("review.place.label")}
      aria-valuemin="0" aria-valuemax=${Math.round(duration / 1000)} aria-valuenow="0" aria-valuetext=${clock(0)}>
      <canvas></canvas><div class="range" hidden></div><div class="head"></div>
    </div>
    <div class="panel detail" ref=${into("detail")} hidden aria-hidden="true"><canvas></canvas><div class="head"></div></div>
    <div class="inks" ref=${into("inks")} aria-hidden="true">${INKS.map((ink) => html`<i class="ink-${ink}"></i>`)}</div>
    <div class="row controls">
      <${Button} kind="quiet" icon="earlier" label=${t("review.earlier")} onClick=${() => jump(-JUMP_MS)} />
      <${Button} kind="primary" class="play" icon=${isPlaying ? "pause" : "play"} label=${t(isPlaying ? "review.stop" : "review.play")}
        disabled=${!player || silent !== undefined} onClick=${() => player.toggle()} />
      <${Button} kind="quiet" icon="later" label=${t("review.later")} onClick=${() => jump(JUMP_MS)} />
      <span class="clock number"><time ref=${into("time")}>${clock(player?.ms ?? 0)}</time> / ${clock(duration)}</span>
      <label class="choice"><span class="unseen">${t("review.rate")}</span>
        <select class="select" onChange=${(event) => { player.rate = Number(event.target.value); }}>
          ${RATES.map((rate) => html`<option value=${rate} selected=${rate === (player?.rate ?? 1)}>${rate}×</option>`)}
        </select></label>
      <span class="zooms" hidden=${duration < 120_000}>
        <${Button} icon="minus" kind="quiet small" label=${t("review.zoomOut")} onClick=${() => wave.zoom(1)} />
        <${Button} kind="quiet small" icon="plus" label=${t("review.zoomIn")} onClick=${() => wave.zoom(-1)} />
      </span>
      ${hasConfidence && html`<label class="choice">${t("review.unsure")}
        <select class="select" onChange=${(event) => onUnsure(Number(event.target.value))}>
          ${DOUBTS.map((limit) => html`<option value=${limit} selected=${limit === unsure}>
            ${limit ? t("review.below", { limit: percent(limit) }) : t("review.off")}</option>`)}
        </select></label>`}
      <${Button} kind=${following ? "quiet" : ""} class="follow" aria-pressed=${following ? "true" : "false"} onClick=${() => onFollow(!following)}>
        ${t(following ? "review.follows" : "review.follow")}<//>
    </div>
  </section>`;
}
