"use strict";
// The page's data, and making elements. Text goes in as text and numbers as attributes; nothing of the data is read as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);

function htmlElement(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function svgElement(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function saveText(text, type, name) {
  const link = htmlElement("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
