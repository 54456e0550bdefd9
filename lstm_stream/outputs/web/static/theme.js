// Sets light or dark before the first paint; a classic script, for modules run later. "auto" follows the system.
document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";
