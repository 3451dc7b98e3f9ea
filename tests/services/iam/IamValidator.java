import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Lets in whose token is a URL signed with the one key that the listener's JAAS options name (Signature Version 4,
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), as MSK does with IAM.
 */
public final class IamValidator implements AuthenticateCallbackHandler {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private Map<String, ?> options;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        options = entries.get(0).getOptions();
    }

    @Override
    public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (callback instanceof OAuthBearerValidatorCallback asked) {
                try {
                    asked.token(verified(asked.tokenValue()));
                } catch (Exception error) {
                    asked.error("invalid_token", null, null);
                }
            } else if (callback instanceof OAuthBearerExtensionsValidatorCallback asked) {
                asked.inputExtensions().map().keySet().forEach(asked::valid);
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    private OAuthBearerToken verified(String token) throws Exception {
        URI url = URI.create(new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8));
        TreeMap<String, String> query = new TreeMap<>();
        for (String pair : url.getRawQuery().split("&")) {
            String[] parts = pair.split("=", 2);
            query.put(parts[0], parts[1]);
        }
        query.remove("User-Agent"); // added after the signature
        String signature = query.remove("X-Amz-Signature");
        String region = option("region");
        String time = query.get("X-Amz-Date");
        String scope = time.substring(0, 8) + "/" + region + "/kafka-cluster/aws4_request";
        String canonical = query.entrySet().stream().map(each -> each.getKey() + "=" + each.getValue())
                .collect(Collectors.joining("&"));
        String request = String.join("\n", "GET", "/", canonical, "host:kafka." + region + ".amazonaws.com", "", "host",
                hash(""));
        byte[] key = ("AWS4" + option("secret")).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) {
            key = mac(key, part);
        }
        String expected = HexFormat.of().formatHex(
                mac(key, String.join("\n", "AWS4-HMAC-SHA256", time, scope, hash(request))));
        long start = Instant.from(TIME.parse(time)).toEpochMilli();
        long seconds = Math.min(Long.parseLong(query.get("X-Amz-Expires")), Long.parseLong(option("seconds")));
        boolean good = expected.equals(signature) && url.getHost().equals("kafka." + region + ".amazonaws.com")
                && "kafka-cluster%3AConnect".equals(query.get("Action"))
                && (option("access") + "/" + scope).equals(query.get("X-Amz-Credential").replace("%2F", "/"))
                && System.currentTimeMillis() < start + seconds * 1000;
        if (!good) {
            throw new IllegalArgumentException("no good token");
        }
        return new Token(token, start + seconds * 1000, option("access"), start);
    }

    private String option(String name) {
        return (String) options.get(name);
    }

    private static byte[] mac(byte[] key, String text) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String hash(String text) throws Exception {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    private record Token(String value, long lifetimeMs, String principalName, Long startTimeMs)
            implements OAuthBearerToken {
        @Override
        public Set<String> scope() {
            return Set.of();
        }
    }

    @Override
    public void close() {}
}
