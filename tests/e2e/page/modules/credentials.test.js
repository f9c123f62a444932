// Credentials in an address, and the claims of tokens.
import assert from "node:assert/strict";
import { test } from "node:test";
import { modelsOf, readFragment, scopesOf } from "../../../../src/livereactor/playground/js/client/credentials.js";

const token = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.AAAA`;

test("a token, a key and a share link are read from behind the #", () => {
  assert.deepEqual(readFragment("#token=a.b-c_d.e"), { shown: "a.b-c_d.e", session: "" });
  assert.deepEqual(readFragment("#key=correct%20horse"), { shown: "correct horse", session: "" });
  assert.deepEqual(readFragment("#session=ses_1&token=a.b.c"), { shown: "a.b.c", session: "ses_1" });
});

test("anything else behind the # lets nobody in", () => {
  for (const hash of ["", "#", "#top", "#token=", "#session=ses_1"]) assert.equal(readFragment(hash), null);
});

test("a token says what it grants; a key, and what is no token, do not", () => {
  assert.deepEqual(scopesOf(token({ scope: "view" })), ["view"]);
  assert.deepEqual(scopesOf(token({ scope: "control upload view" })), ["control", "upload", "view"]);
  for (const other of ["rk_0123", "", "a.b.c", token({}), token({ scope: 7 })]) assert.equal(scopesOf(other), null);
});

test("a token says which models it is for, with or without their owners", () => {
  const models = (resources) => token({ authorization_details: [{ type: "session", resources }] });
  assert.deepEqual(modelsOf(models({ models: { match: ["pond", "someone/gärten"] } })), ["pond", "gärten"]);
  assert.deepEqual(modelsOf(models({ models: { match: [] } })), []);
  for (const any of ["rk_0123", "", token({}), token(null), models({}), models({ models: { all: true } })]) {
    assert.equal(modelsOf(any), null);
  }
});
