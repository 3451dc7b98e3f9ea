// Shows the outputs of tasks while their links are valid. A link of a stranger is loaded by the elements that show
// pictures and sound, and by nothing else; it gets no referrer.

import { element, icon, isWebAddress } from "./dom.js";
import { ago, clock, duration, size } from "./format.js";

/** The outputs of a task; each shows when its link dies, that it did, and where its archived copy is. Null without any. */
export function outputs(list, archived = []) {
  if (!list?.length) return null;
  const copies = new Map(archived.map((copy) => [copy.index, copy]));
  return element("ul", { class: "outputs" }, ...list.map((media, at) => output(media, at, copies.get(at))));
}

function output(media, at, copy) {
  const name = `${media.kind} ${at + 1}`;
  const item = element("li", { class: "output" });
  const expires = media.expires_at ? new Date(media.expires_at).getTime() : null;
  const show = () => item.replaceChildren(frame(media, name, isOver(expires)), caption(media, name, expires, copy));
  show();
  whenOver(expires, item, show);
  return item;
}

/** The output itself, or why it is not to be seen. */
function frame(media, name, over) {
  if (!media.url) return absent("The upstream provided no link.");
  if (!isWebAddress(media.url)) return absent("The link is not a web address, so it is not opened.");
  if (over) return absent("The link has expired.");
  const place = element("div", { class: "frame" });
  const onerror = () => place.replaceWith(absent("The link could not be loaded."));
  place.append(player(media, name, onerror));
  return place;
}

function player({ kind, url }, name, onerror) {
  const shared = { src: url, referrerpolicy: "no-referrer", onerror };
  if (kind === "video") return element("video", { ...shared, controls: true, preload: "metadata", "aria-label": name });
  if (kind === "audio") return element("audio", { ...shared, controls: true, preload: "metadata", "aria-label": name });
  return element("img", { ...shared, alt: `Output: ${name}`, loading: "lazy", decoding: "async" });
}

function caption(media, name, expires, copy) {
  const words = [name, media.format].filter(Boolean).join(" · ");
  const over = isOver(expires);
  const life = expires === null ? "no expiry known"
    : over ? element("span", {}, "expired ", ago(media.expires_at))
    : element("span", {}, `expires in ${duration(expires - Date.now())}, at `, clock(media.expires_at));
  const open = !over && media.url && isWebAddress(media.url)
    && element("a", { href: media.url, target: "_blank", rel: "noopener noreferrer" }, icon("away"), `Open ${name}`);
  const verdict = media.nsfw && element("p", {}, `NSFW verdict: valid ${media.nsfw.valid ?? "unknown"}, confidence ${media.nsfw.confidence ?? "unknown"}`);
  return element("div", { class: "caption" }, element("p", { class: "lead" }, words), element("p", {}, life), verdict, copy && archive(copy), open);
}

/** Where the archived copy is, or what became of it. A browser opens no address of a store, so it is a text. */
function archive(copy) {
  if (copy.state !== "archived") return element("p", {}, [`archive: ${copy.state}`, copy.reason].filter(Boolean).join(", "));
  return element("p", {}, `archived, ${size(copy.size)}: `, element("code", {}, copy.url));
}

function absent(why) {
  return element("div", { class: "frame absent" }, element("p", {}, why));
}

function isOver(expires) {
  return expires !== null && expires <= Date.now();
}

/** Calls `show` at the moment when the link dies, if the item is still on the page. */
function whenOver(expires, item, show) {
  const left = expires === null ? null : expires - Date.now();
  if (left === null || left <= 0 || left > 2 ** 31 - 1) return;
  setTimeout(() => item.isConnected && show(), left + 1);
}
