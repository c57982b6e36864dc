// The gallery's page: a filter becomes an address, its answer becomes tiles, and a tile opens as a row.
// Nothing is loaded from elsewhere, and names of the dataset are only ever text.
"use strict";

const PAGE_ROWS = 60, PAGE_PHOTOS = 12, WAIT_MS = 150;
const WORDS = { accepted: "a person", consensus: "several people", machine_import: "a machine, imported", unreviewed: "a machine" };
const byId = id => document.getElementById(id);
const body = document.body, form = byId("filters"), grid = byId("grid"), detail = byId("detail"), help = byId("help");
const pixels = body.dataset.pixels === "yes", masks = body.dataset.masks === "yes";
let offset = 0, total = 0, current = 0, opened = null, asking = null, timer = 0, lastMask = 35, part = "object";

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list") node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children.filter(child => child !== null && child !== ""));
  return node;
}

async function ask(address, options) {
  const answer = await fetch(address, options);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.detail || answer.statusText);
  return content;
}

function tell(text) { byId("message").textContent = text; }
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// What is asked for

function asked() {
  const pairs = [...new FormData(form)].filter(([, value]) => String(value).trim() !== "");
  const model = pairs.some(([name]) => name === "model"), attribute = pairs.some(([name]) => name === "attribute");
  const query = new URLSearchParams(pairs.filter(([name]) => (model || !["outcome", "answer"].includes(name)) && (attribute || name !== "has")));
  if (byId("order").value !== "stored") query.set("order", byId("order").value);
  if (byId("arrange").value !== "rows") query.set("arrange", byId("arrange").value);
  if (offset) query.set("offset", offset);
  return query;
}

function recall() {
  const query = new URLSearchParams(location.hash.slice(1));
  form.reset();
  for (const [name, value] of query) {
    const fields = form.querySelectorAll(`[name="${CSS.escape(name)}"]`);
    for (const field of fields) {
      if (field.type === "checkbox") field.checked ||= field.value === value; else field.value = value;
    }
  }
  byId("order").value = query.get("order") || "stored";
  byId("arrange").value = query.get("arrange") || "rows";
  offset = Math.max(0, Number(query.get("offset")) || 0);
}

function changed() { offset = 0; clearTimeout(timer); timer = setTimeout(show, WAIT_MS); }

async function show({ focus = false } = {}) {
  clearTimeout(timer);
  if (asking) asking.abort();
  asking = new AbortController();
  const query = asked();
  history.replaceState(null, "", `#${query}`);
  query.set("limit", byId("arrange").value === "photos" ? PAGE_PHOTOS : PAGE_ROWS);
  try {
    draw(await ask(`rows?${query}`, { signal: asking.signal }), focus);
    tell("");
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message);
  }
}

// What is shown

function picture(row, { large = false, name = "object" } = {}) {
  const frame = make("span", { className: pixels ? "frame" : "frame bare" });
  if (pixels) frame.append(make("img", { src: `${large ? "images" : "thumbnails"}/${row.row}`, alt: "", loading: large ? "eager" : "lazy", decoding: "async" }));
  if (masks && row.area !== null) {
    const address = `masks/${row.row}${name === "object" ? "" : `?part=${encodeURIComponent(name)}`}`;
    frame.append(make("img", { className: "mask", src: address, alt: "", loading: large ? "eager" : "lazy", decoding: "async" }));
  }
  return frame;
}

function says(row) {
  if (row.answer === undefined) return null;
  const confidence = row.confidence === null ? "" : ` ${row.confidence.toFixed(2)}`;
  return { right: row.right, text: `${row.right ? "✓" : "✗"} ${row.answer || (row.right ? "right" : "wrong")}${confidence}` };
}

function tile(row, { wide = false } = {}) {
  const answer = says(row), lines = [make("b", {}, row.config)];
  if (!wide) lines.push(make("i", {}, row.label));
  if (row.ground) lines.push(make("i", { className: "quiet" }, `on ${row.ground}`));
  if (row.part) lines.push(make("i", { className: "quiet" }, row.part));
  if (answer) lines.push(make("i", { className: answer.right ? "right" : "wrong" }, answer.text));
  if (row.flag && row.flag !== "accepted") lines.push(make("i", { className: "flagged" }, `⚑ ${row.flag}`));
  const words = [row.config, row.label, row.ground && `on ${row.ground}`, row.part, answer && (answer.right ? "right" : "wrong"), answer && row.answer && `answered ${row.answer}`, row.flag, `photo ${row.image_id.slice(0, 8)}`];
  const button = make("button", { type: "button", className: "tile", "aria-label": words.filter(Boolean).join(", "), tabIndex: -1 }, picture(row), make("span", { className: "caption" }, ...lines));
  button.dataset.row = row.row;
  if (answer) button.classList.add(answer.right ? "is-right" : "is-wrong");
  if (row.passes === false) button.classList.add("apart");
  return button;
}

function draw(answer, focus) {
  total = answer.photo_total ?? answer.total;
  const photos = byId("arrange").value === "photos", step = photos ? PAGE_PHOTOS : PAGE_ROWS;
  grid.className = photos ? "photos" : "";
  const items = photos
    ? answer.photos.map(photo => make("li", { className: "photo" }, make("h2", {}, `${photo.rows[0].label} · ${photo.image_id}`), make("div", { className: "strip" }, ...photo.rows.map(row => tile(row, { wide: true })))))
    : answer.rows.map(row => make("li", {}, tile(row)));
  grid.replaceChildren(...(items.length ? items : [make("li", { className: "empty" }, "No row passes all that is asked for.")]));
  byId("count").textContent = photos ? `${plural(answer.total, "row")} of ${plural(total, "photo")} shown` : `${plural(total, "row")} shown`;
  const last = Math.min(total, offset + step);
  byId("page").textContent = total ? `${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  byId("before").disabled = offset === 0;
  byId("after").disabled = last >= total;
  count(answer.counts);
  select(0, focus);
  if (!focus) scrollTo({ top: 0 });
}

function count(counts) {
  for (const node of document.querySelectorAll("[data-count]")) {
    const own = counts[node.dataset.count];
    const number = own ? own[node.dataset.name] || 0 : null;
    if (node.tagName === "OPTION") {
      node.textContent = number === null ? node.dataset.name : `${node.dataset.name} (${number.toLocaleString("en")})`;
    } else {
      node.textContent = number === null ? "" : number.toLocaleString("en");
      node.parentElement.classList.toggle("none", number === 0);
    }
  }
}

const tiles = () => [...grid.querySelectorAll(".tile")];

function select(index, focus = true) {
  const all = tiles();
  if (!all.length) return;
  current = Math.max(0, Math.min(all.length - 1, index));
  all.forEach((one, number) => { one.tabIndex = number === current ? 0 : -1; });
  if (focus) all[current].focus();
}

function below(step) {
  // The tile of the next line that is nearest to the current one.
  const all = tiles(), box = all[current].getBoundingClientRect();
  const lines = all.map((one, index) => ({ index, box: one.getBoundingClientRect() })).filter(one => step > 0 ? one.box.top > box.top + 5 : one.box.top < box.top - 5);
  if (!lines.length) return current;
  const top = step > 0 ? Math.min(...lines.map(one => one.box.top)) : Math.max(...lines.map(one => one.box.top));
  return lines.filter(one => Math.abs(one.box.top - top) < 5).reduce((best, one) => Math.abs(one.box.left - box.left) < Math.abs(best.box.left - box.left) ? one : best).index;
}

function turn(step, focus = true) {
  const size = byId("arrange").value === "photos" ? PAGE_PHOTOS : PAGE_ROWS, next = offset + step * size;
  if (next < 0 || next >= total) return;
  offset = next;
  return show({ focus });
}

// A row

function facts(pairs) {
  const list = make("dl", { className: "facts-list" });
  for (const [name, value] of pairs) {
    if (value === null || value === "" || value === undefined) continue;
    list.append(make("dt", {}, name), make("dd", {}, value instanceof Node ? value : String(value)));
  }
  return list;
}

function pretty(text) {
  try {
    const lines = JSON.stringify(JSON.parse(text), null, 1);
    return lines.replace(/\[[^[\]{}]*\]/g, list => list.replace(/\s+/g, " "));  // a list of numbers is one line
  } catch { return text; }
}

async function open(row) {
  try {
    opened = await ask(`rows/${row}?${new URLSearchParams([...asked()].filter(([name]) => name === "model"))}`);
    part = opened.parts.includes(part) ? part : "object";
    drawDetail(opened);
    if (!detail.open) detail.showModal();
    tell("");
  } catch (error) { tell(error.message); }
}

function drawDetail(row) {
  byId("detail-title").textContent = `${row.config}: ${row.label}${row.ground ? ` on ${row.ground}` : ""}`;
  const large = picture(row, { large: true, name: part });
  large.setAttribute("role", "img");
  large.setAttribute("aria-label", `${row.config} of a ${row.label}${row.area === null ? "" : ", with the mask over it"}`);
  const opacity = make("label", {}, "Mask ", make("input", { type: "range", min: 0, max: 100, step: 5, value: byId("mask").value, id: "detail-mask", "aria-label": "Opacity of the mask, percent" }));
  opacity.querySelector("input").addEventListener("input", event => setMask(event.target.value));
  const parts = make("div", { className: "parts" }, row.area === null ? "" : opacity);
  if (row.parts.length) {
    for (const name of ["object", ...row.parts]) {
      const button = make("button", { type: "button", "aria-pressed": String(name === part) }, name);
      button.addEventListener("click", () => { part = name; drawDetail(row); byId("detail-body").querySelector(".parts [aria-pressed=true]").focus(); });
      parts.append(button);
    }
  }
  let donor = row.ground_id;
  if (row.ground_row !== null) {
    donor = make("button", { type: "button", className: "link code" }, row.ground_id);
    donor.addEventListener("click", () => open(row.ground_row));
  }
  const said = Object.entries(row.attributes).filter(([, value]) => value !== null).map(([name, value]) => value ? name : `not ${name}`).join(", ");
  const about = facts([
    ["photo", make("span", { className: "code" }, row.image_id)], ["class", row.label], ["label of the source", row.source_label], ["split", row.split],
    ["attribute", row.part], ["draw", row.draw || ""], ["ground's class", row.ground], ["ground's photo", donor],
    ["object's area", row.area === null ? "" : `${row.area} % of the canvas`], ["box", row.box.join(", ")], ["mask made by", WORDS[row.state] ?? row.state], ["attributes", said],
    ["decision", row.decision ? `${row.decision.state}${row.decision.reason ? `: ${row.decision.reason}` : ""}` : ""],
  ]);
  const right = make("div", {}, about);
  if (row.answers.length) {
    const rows = row.answers.map(answer => make("tr", {}, make("td", {}, answer.model), make("td", { className: answer.right ? "right" : "wrong" }, says(answer).text)));
    right.append(make("h3", {}, "Answers"), make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "model"), make("th", { scope: "col" }, "answer"))), make("tbody", {}, ...rows)));
  }
  const strip = make("ul", { className: "strip", "aria-label": "All rows of the photo" });
  for (const other of row.siblings) {
    const button = tile(other, { wide: true });
    button.tabIndex = 0;
    if (other.row === row.row) button.setAttribute("aria-current", "true");
    strip.append(make("li", {}, button));
  }
  const origin = facts([...Object.entries(row.provenance), ["shard", row.shard]].map(([name, value]) => [name.replaceAll("_", " "), value === null ? "" : make("span", { className: "code" }, String(value))]));
  right.append(make("section", { id: "provenance" }, make("h3", {}, "Provenance"), origin, row.params ? make("pre", { tabIndex: 0, role: "region", "aria-label": "Parameters" }, pretty(row.params)) : ""));
  const count = row.siblings.length, title = count > 1 ? `The photo's ${plural(count, "row")}, side by side` : "The photo's only row";
  const left = make("div", {}, large, parts, make("section", { id: "siblings" }, make("h3", {}, title), strip));
  byId("detail-body").replaceChildren(make("div", { className: "two" }, left, right));
  if (byId("flagged")) byId("flagged").textContent = "";
}

function step(by) {
  const all = tiles().map(one => Number(one.dataset.row)), place = all.indexOf(opened.row);
  const next = (place < 0 ? current : place) + by;
  if (next >= 0 && next < all.length) { select(next, false); return open(all[next]); }
}

async function flag(event) {
  event.preventDefault();
  const person = byId("flag-person").value.trim();
  sessionStorage.setItem("person", person);
  const said = { image_id: opened.image_id, state: byId("flag-state").value, person, note: byId("flag-note").value.trim() };
  try {
    const answer = await ask("flags", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said) });
    const { decision } = answer;
    await open(opened.row);
    byId("flagged").textContent = decision ? `The photo is now ${decision.state}: ${decision.reason}` : "Nothing is decided about the photo.";
    byId("flag-note").value = "";
  } catch (error) { byId("flagged").textContent = error.message; }
}

// Masks

function setMask(value) {
  const percent = Math.max(0, Math.min(100, Number(value)));
  if (percent > 0) lastMask = percent;
  document.documentElement.style.setProperty("--mask", percent / 100);
  for (const id of ["mask", "detail-mask"]) if (byId(id)) byId(id).value = percent;
}

// Hands

const moves = {
  ArrowLeft: () => select(current - 1), ArrowRight: () => select(current + 1), ArrowUp: () => select(below(-1)), ArrowDown: () => select(below(1)),
  Home: () => select(0), End: () => select(tiles().length - 1),
};
const keys = {
  n: () => turn(1), p: () => turn(-1), r: () => form.reset(), m: toggleMask, "/": () => form.elements.text.focus(), "?": () => help.showModal(),
  v: () => { byId("arrange").value = byId("arrange").value === "rows" ? "photos" : "rows"; changed(); },
};
function toggleMask() { setMask(Number(byId("mask").value) > 0 ? 0 : lastMask); }

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea, summary");
  if (detail.open) {
    if (typing || event.target.closest("pre")) return;
    const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), m: toggleMask, "?": () => help.showModal() }[event.key];
    if (act) { event.preventDefault(); act(); }
    return;
  }
  if (typing) return;
  const moving = moves[event.key] && grid.contains(event.target) && tiles().length;
  const act = moving ? moves[event.key] : keys[event.key];
  if (act) { event.preventDefault(); act(); }
});

document.addEventListener("click", event => {
  const button = event.target.closest(".tile");
  if (!button) return;
  const place = tiles().indexOf(button);
  if (place >= 0) select(place, false);
  open(Number(button.dataset.row));
});

form.addEventListener("input", changed);
form.addEventListener("submit", event => event.preventDefault());
form.addEventListener("reset", () => setTimeout(changed));
byId("order").addEventListener("change", changed);
byId("arrange").addEventListener("change", changed);
byId("mask").addEventListener("input", event => setMask(event.target.value));
byId("before").addEventListener("click", () => turn(-1));
byId("after").addEventListener("click", () => turn(1));
byId("earlier").addEventListener("click", () => step(-1));
byId("later").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => detail.close());
byId("help-close").addEventListener("click", () => help.close());
byId("keys").addEventListener("click", () => help.showModal());
detail.addEventListener("close", () => select(current));
if (byId("flag")) {
  byId("flag").addEventListener("submit", flag);
  byId("flag-person").value = sessionStorage.getItem("person") || "";
}
addEventListener("hashchange", () => { recall(); show(); });
addEventListener("beforeprint", () => { for (const image of document.images) image.loading = "eager"; });
new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${document.querySelector("header").offsetHeight}px`)).observe(document.querySelector("header"));

setMask(35); recall(); show();
