"use strict";

const root = document.documentElement;
root.classList.add("scripted");

const wipe = document.getElementById("wipe");
if (wipe) {
  const section = document.getElementById("images");
  const show = () => {
    section.style.setProperty("--wipe", wipe.value + "%");
    section.classList.toggle("wiped", wipe.value > 0 && wipe.value < 100);
    wipe.setAttribute("aria-valuetext", wipe.value + " % after");
  };
  wipe.addEventListener("input", show);
  show(); // a browser may restore the slider's place when it reloads the page
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const details of opened) details.open = true; // paper cannot be clicked
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});

for (const box of document.querySelectorAll(".scroll")) {
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "Scroll sideways for the rest of this table \u2192";
  hint.setAttribute("aria-hidden", "true"); // a screen reader has the whole table
  box.before(hint);
  const show = () => {
    const room = box.scrollWidth - box.clientWidth;
    hint.hidden = room < 2;
    box.classList.toggle("more", box.scrollLeft < room - 1);
    if (room < 2) box.removeAttribute("tabindex");
    else box.tabIndex = 0; // the keyboard scrolls what has the focus
  };
  box.addEventListener("scroll", show, { passive: true });
  new ResizeObserver(show).observe(box);
}

for (const block of document.querySelectorAll(".copyable")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", () => {
    const text = block.querySelector("code");
    getSelection().selectAllChildren(text);
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected"; // the clipboard API is barred from files
    getSelection().removeAllRanges();
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}
