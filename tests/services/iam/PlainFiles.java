import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.plain.PlainAuthenticateCallback;

/** Passwords of PLAIN that can change while the broker runs (KIP-86): a file per user in the folder of the options. */
public final class PlainFiles implements AuthenticateCallbackHandler {
    private Path folder;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        folder = Path.of((String) entries.get(0).getOptions().get("folder"));
    }

    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        String user = null;
        for (Callback callback : callbacks) {
            if (callback instanceof NameCallback asked) {
                user = asked.getDefaultName();
            } else if (callback instanceof PlainAuthenticateCallback asked) {
                Path file = folder.resolve(user);
                asked.authenticated(
                        Files.exists(file) && Files.readString(file).equals(new String(asked.password())));
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    @Override
    public void close() {}
}
