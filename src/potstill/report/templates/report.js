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
