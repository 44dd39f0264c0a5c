// SPDX-License-Identifier: MIT
// What js-libp2p takes for granted and Node 18 and 20 lack. To be imported before it.

import { webcrypto } from "node:crypto";

Promise.withResolvers ??= function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

globalThis.crypto ??= webcrypto;

globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor(type, { detail = null, ...options } = {}) {
    super(type, options);
    this.detail = detail;
  }
};
