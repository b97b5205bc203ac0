// The page of imgbuild serve. What machines send is set as text, never as markup.
"use strict";

const nodes = new Map(); // MAC -> {data, parts}
let order = [];
let skew = 0; // the server's clock minus this one's, in seconds

const byId = (id) => document.getElementById(id);

function make(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const clock = (time) => new Date(time * 1000).toLocaleTimeString();

function ago(time) {
  const seconds = Math.max(0, Math.round(Date.now() / 1000 + skew - time));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time * 1000).toLocaleString();
}

const mib = (bytes) => `${Math.floor(bytes / 1048576)} MiB`;

// kind colours a node, text tells the same in words
function standing(node) {
  if (node.waiting) return { kind: "warn", text: "waits for your confirmation" };
  if (node.error) {
    const stage = node.stages[node.stage];
    const again = stage && stage.state === "retrying" && node.error.startsWith(`${node.stage}:`);
    return { kind: again ? "warn" : "bad", text: again ? `tries ${node.stage} again` : "failed" };
  }
  if (node.ready) return { kind: "good", text: "ready" };
  if (node.stage) return { kind: "busy", text: `first boot: ${node.stage}` };
  if (node.state === "installed") return { kind: node.disk ? "busy" : "good", text: node.disk ? "boots its disk" : "installed" };
  if (node.state === "installing") return { kind: "busy", text: "installing" };
  if (node.phone) return { kind: "busy", text: "cloud-init is done" };
  if (node.seed) return { kind: "busy", text: "has its seed" };
  if (node.live) return { kind: "busy", text: "has its live root" };
  if (node.download) return { kind: "busy", text: `loads ${node.download.file}` };
  if (node.kernel) return { kind: "busy", text: "loads the kernel" };
  if (node.script) return { kind: "busy", text: "has its boot script" };
  return { kind: "", text: node.first ? "seen" : "not seen yet" };
}

function steps(node) {
  const out = [["request", node.first], ["script", node.script], ["boot kernel", node.kernel], ["live root", node.live],
    ["seed", node.seed]];
  if (node.install || node.installed) out.push(["install", node.installed, node.state === "installing"]);
  out.push(["cloud-init", node.phone]);
  for (const [name, stage] of Object.entries(node.stages)) {
    const done = stage.state === "done";
    out.push([name, done ? stage.time : null, !done && name === node.stage, stage.state === "failed"]);
  }
  out.push(["ready", node.ready]);
  return out;
}

function bar(node) {
  if (node.install) {
    const text = `Install${node.install.stage ? `: ${node.install.stage}` : ""}`;
    return { text, value: node.install.progress, max: 100, of: node.install.progress === null ? "" : `${node.install.progress} %` };
  }
  const down = node.download;
  if (down && down.done < down.total) {
    return { text: down.file, value: down.done, max: down.total, of: `${mib(down.done)} of ${mib(down.total)}` };
  }
  return null;
}

function build(mac) {
  const item = make("li", "node");
  const top = make("div", "top");
  const parts = {
    item, name: make("h2"), badge: make("span", "badge"), facts: make("span", "facts"), steps: make("ul", "steps"),
    bar: make("div", "bar"), barText: make("span"), progress: make("progress"), wait: make("p", "message wait"),
    error: make("p", "message error"), takers: make("p", "message taker"), details: make("details"), list: make("dl"),
    log: make("pre"), showLog: make("button", "", "Show console log"), confirm: make("button", "main", "Confirm"),
    rearm: make("button", "", "Rearm"),
  };
  parts.name.id = `name-${mac}`;
  item.setAttribute("aria-labelledby", parts.name.id);
  parts.steps.setAttribute("aria-label", "Steps");
  parts.error.setAttribute("role", "alert");
  parts.barText.id = `bar-${mac}`;
  parts.progress.setAttribute("aria-labelledby", parts.barText.id);
  parts.log.hidden = true;
  parts.log.tabIndex = 0;
  parts.log.setAttribute("aria-label", "Console log");
  top.append(parts.name, parts.badge, parts.facts);
  parts.bar.append(parts.barText, parts.progress);
  const waitActions = make("div", "actions");
  waitActions.append(parts.confirm);
  parts.waitActions = waitActions;
  const actions = make("div", "actions");
  actions.append(parts.rearm, parts.showLog);
  parts.details.append(make("summary", "", "Details"), parts.list, actions, parts.log);
  item.append(top, parts.steps, parts.bar, parts.wait, waitActions, parts.error, parts.takers, parts.details);
  parts.confirm.addEventListener("click", () => ask("confirm", mac));
  parts.rearm.addEventListener("click", () => ask("rearm", mac));
  parts.showLog.addEventListener("click", () => showLog(mac));
  return parts;
}

function show(mac) {
  const { data: node, parts } = nodes.get(mac);
  const now = standing(node);
  const name = `node ${now.kind}`.trim();
  if (parts.item.className !== name) parts.item.className = name;
  setText(parts.name, node.name);
  setText(parts.badge, now.text);
  setText(parts.facts, [node.mac, node.address, node.seen ? `seen ${ago(node.seen)}` : ""].filter(Boolean).join(" · "));
  showSteps(parts.steps, steps(node));
  const shown = bar(node);
  parts.bar.hidden = shown === null;
  if (shown) {
    setText(parts.barText, [shown.text, shown.of].filter(Boolean).join(" · "));
    parts.progress.max = shown.max;
    if (shown.value === null) parts.progress.removeAttribute("value");
    else parts.progress.value = shown.value;
  }
  parts.wait.hidden = parts.waitActions.hidden = !node.waiting;
  setText(parts.wait, node.waiting ? `${node.waiting} asks for this node's seed. Confirm only if you have just started this machine.` : "");
  parts.confirm.setAttribute("aria-label", `Confirm ${node.name}`);
  parts.rearm.setAttribute("aria-label", `Rearm ${node.name}`);
  parts.error.hidden = !node.error;
  setText(parts.error, node.error ? `${node.error}${node.error_time ? ` (${clock(node.error_time)})` : ""}` : "");
  parts.takers.hidden = node.takers.length === 0;
  setText(parts.takers, node.takers.map((taker) => `Second taker, ${clock(taker.time)}: ${taker.address} ${taker.what}`).join("\n"));
  parts.showLog.hidden = node.console === 0;
  if (parts.details.open) showDetails(parts.list, node);
}

function showSteps(list, wanted) {
  const key = JSON.stringify(wanted.map(([name, done, now, failed]) => [name, Boolean(done), Boolean(now), Boolean(failed)]));
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...wanted.map(([name, done, now, failed]) => {
    const state = failed ? "failed" : done ? "done" : now ? "now" : "";
    const item = make("li", state, `${failed ? "✗ " : done ? "✓ " : now ? "… " : ""}${name}`);
    item.setAttribute("aria-label", `${name}: ${state || "not yet"}`);
    return item;
  }));
}

function showDetails(list, node) {
  const rows = [["MAC", node.mac], ["Address", node.address || "none yet"], ["Tells of itself", node.claims]];
  for (const [label, time] of [["First request", node.first], ["Boot script", node.script], ["Kernel", node.kernel],
    ["Live root", node.live], ["Seed", node.seed], ["Installed", node.installed], ["Booted its disk", node.disk],
    ["cloud-init", node.phone], ["Ready", node.ready]]) {
    if (time) rows.push([label, new Date(time * 1000).toLocaleString()]);
  }
  rows.push(["Seed can be fetched", !node.seed_open ? "no" : node.seed_ends ? `until ${clock(node.seed_ends)}` : "yes, not fetched yet"]);
  if (node.instance) rows.push(["Instance", node.instance]);
  for (const [name, stage] of Object.entries(node.stages)) {
    rows.push([`Stage ${name}`, `${stage.state} ${clock(stage.time)}${stage.message ? `: ${stage.message}` : ""}`]);
  }
  list.replaceChildren(...rows.filter((row) => row[1]).flatMap(([term, text]) => [make("dt", "", term), make("dd", "", text)]));
}

function arrange() {
  const list = byId("nodes");
  const filter = byId("filter").value.trim().toLowerCase();
  const only = byId("problems").checked;
  let count = 0;
  const tally = { good: 0, busy: 0, bad: 0, warn: 0, "": 0 };
  order.forEach((mac, at) => {
    const entry = nodes.get(mac);
    if (!entry) return;
    const { data, parts } = entry;
    const now = standing(data);
    tally[now.kind] += 1;
    const text = `${data.name} ${data.mac} ${data.address} ${now.text}`.toLowerCase();
    const problem = data.error || data.waiting || data.takers.length;
    parts.item.hidden = !text.includes(filter) || (only && !problem);
    if (!parts.item.hidden) count += 1;
    if (list.children[at] !== parts.item) list.insertBefore(parts.item, list.children[at] || null);
  });
  byId("none").hidden = count > 0;
  const words = [`${order.length} nodes`, tally.good && `${tally.good} ready or installed`, tally.busy && `${tally.busy} at work`,
    tally.bad && `${tally.bad} failed`, tally.warn && `${tally.warn} waiting or trying again`, tally[""] && `${tally[""]} not at work`];
  setText(byId("summary"), words.filter(Boolean).join(", "));
}

function showStrangers(strangers) {
  const section = byId("strangers");
  section.hidden = strangers.length === 0;
  section.querySelector("ul").replaceChildren(...strangers.map((one) =>
    make("li", "", `${one.mac}  ${one.address}  requests: ${one.times}, the last at ${clock(one.time)}`)));
}

function take(data) {
  skew = data.now - Date.now() / 1000;
  setText(byId("cluster"), data.cluster);
  order = data.order;
  for (const node of data.nodes) {
    const entry = nodes.get(node.mac);
    if (entry) entry.data = node;
    else {
      const parts = build(node.mac);
      parts.details.addEventListener("toggle", () => show(node.mac));
      nodes.set(node.mac, { data: node, parts });
    }
    show(node.mac);
  }
  for (const mac of [...nodes.keys()]) {
    if (!order.includes(mac)) {
      nodes.get(mac).parts.item.remove();
      nodes.delete(mac);
    }
  }
  showStrangers(data.strangers);
  arrange();
}

function ask(what, mac) {
  const { data } = nodes.get(mac);
  const text = what === "rearm"
    ? `The next network boot of ${data.name} (${data.mac}) counts as its first: it gets a seed again and may install its disk.`
    : `${data.name} (${data.mac}) at ${data.waiting} gets its boot script and its seed.`;
  setText(byId("ask-title"), what === "rearm" ? `Rearm ${data.name}?` : `Confirm ${data.name}?`);
  setText(byId("ask-text"), text);
  setText(byId("ask-yes"), what === "rearm" ? "Rearm" : "Confirm");
  const dialog = byId("ask");
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue === "yes") act(what, mac);
  };
  dialog.showModal();
}

async function act(what, mac) {
  try {
    const answer = await fetch(`/do/${what}`, {
      method: "POST", headers: { "Content-Type": "application/json", "X-Imgbuild": "1" }, body: JSON.stringify({ mac }),
    });
    setText(byId("link"), answer.ok ? "" : `${what} failed: ${(await answer.text()).slice(0, 200)}`);
  } catch (error) {
    setText(byId("link"), `${what} failed: the server does not answer`);
  }
}

async function showLog(mac) {
  const { parts } = nodes.get(mac);
  const answer = await fetch(`/console/${mac.replaceAll(":", "-")}`);
  setText(parts.log, answer.ok ? await answer.text() : "not available");
  parts.log.hidden = false;
  setText(parts.showLog, "Refresh console log");
  parts.log.scrollTop = parts.log.scrollHeight;
}

function connect() {
  const events = new EventSource("/events");
  events.onmessage = (event) => {
    setText(byId("link"), "");
    take(JSON.parse(event.data));
  };
  events.onerror = () => {
    setText(byId("link"), "No connection to imgbuild serve: what is shown is old. Trying again …");
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

byId("filter").addEventListener("input", arrange);
byId("problems").addEventListener("change", arrange);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName) && !byId("ask").open) {
    event.preventDefault();
    byId("filter").focus();
  }
});
setInterval(() => nodes.forEach((entry, mac) => show(mac)), 5000);
connect();
