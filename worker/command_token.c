#include <stdio.h>

#include "lib/base/parse_number.h"
#include "worker/command.h"
#include "worker/token.h"

#define DEFAULT_TTL_S 3600
#define MAX_TTL_S (366 * 86400)

static const char usage[] = "Usage: pnlcache-worker token --user ID [--role ROLE] [--ttl SECONDS]\n\n"
                            "Prints an HS256 token signed with JWT_SECRET, for trying the API:\n"
                            "  --user ID       whose data it opens ('sub')\n"
                            "  --role ROLE     'admin' or 'service_role'; without it only the user's own data\n"
                            "  --ttl SECONDS   how long it is good for; default 3600\n";

int command_token(int argc, char *const *argv)
{
    const char *ttl = NULL;
    struct token_claims claims = {.issued_at = clock_now(), .ttl_s = DEFAULT_TTL_S};
    const struct cli_option options[] = {
        {"--user", CLI_TEXT, {.text = &claims.user_id}},
        {"--role", CLI_TEXT, {.text = &claims.role}},
        {"--ttl", CLI_TEXT, {.text = &ttl}},
    };
    struct settings *settings = NULL;
    struct buf token = BUF_INIT;
    struct err err = {{0}};
    int exit_status;

    if (!command_parse("pnlcache-worker token", usage, argc, argv, options, sizeof options / sizeof options[0],
                       &exit_status))
        return exit_status;
    if (claims.user_id == NULL)
        return command_misused("token needs --user ID");
    if (ttl != NULL && parse_int64(ttl, 1, MAX_TTL_S, &claims.ttl_s) != STATUS_OK)
        return command_misused("--ttl '%s' is not a whole number of seconds from 1 to %d", ttl, MAX_TTL_S);
    if (!command_load_settings(&settings, &exit_status))
        return exit_status;
    claims.audience = settings->jwt_audience;
    claims.issuer = settings->jwt_issuer;
    if (token_append(&token, &claims, settings->jwt_secret, &err) == STATUS_OK) {
        puts(token.data);
        exit_status = EXIT_DONE;
    } else {
        exit_status = command_misused("%s", err.text);
    }
    buf_release(&token);
    settings_free(&settings);
    return exit_status;
}
