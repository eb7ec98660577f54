// What a browser without a session sees. There is no form: the link is the key.
export function SignedOut() {
  return (
    <main className="alone">
      <h1>Sign in</h1>
      <p>
        Open the link that <code>wasm-host dashboard</code> prints, and <code>wasm-host serve</code> when it
        starts in a terminal. It signs this browser in and comes back here.
      </p>
      <p className="quiet">The link begins with the address of this page and ends with a token.</p>
      <button type="button" className="primary" onClick={() => window.location.reload()}>
        I have opened it
      </button>
    </main>
  );
}
