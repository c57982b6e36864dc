const sliders = document.querySelectorAll("input.opacity");
for (const slider of sliders) {
  slider.closest("label").hidden = false;
  slider.addEventListener("input", () => document.documentElement.style.setProperty("--mask", slider.value / 100));
}
