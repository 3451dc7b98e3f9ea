// A real OIDC provider on loopback, for the grant client_credentials. Its one argument is JSON: port, the file of the key
// that signs (PEM), audience, and clients, each with id, secret and the seconds for which its tokens are good.
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import Provider from "oidc-provider";

const { port, key, audience, clients } = JSON.parse(process.argv[2]);
const seconds = new Map(clients.map((client) => [client.id, client.seconds]));
const jwk = createPrivateKey(readFileSync(key)).export({ format: "jwk" });

new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...jwk, kid: "first", use: "sig", alg: "RS256" }] },
  scopes: ["produce"],
  clients: clients.map(({ id, secret }) => ({
    client_id: id,
    client_secret: secret,
    grant_types: ["client_credentials"],
    response_types: [],
    redirect_uris: [],
  })),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `urn:${audience}`,
      getResourceServerInfo: (_context, _resource, client) => ({
        audience,
        scope: "produce",
        accessTokenFormat: "jwt",
        accessTokenTTL: seconds.get(client.clientId),
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
}).listen(port, "127.0.0.1");
