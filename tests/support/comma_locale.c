#include "tests/support/comma_locale.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* localedef also ends with 1 after a mere warning: what counts is the locale. */
static void build(const char *folder)
{
    char command[200];

    (void)snprintf(command, sizeof command, "localedef -c -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/log 2>&1", folder,
                   folder);
    if (system(command) == -1)
        fail_msg("no shell for localedef");
}

void comma_locale_begin(void)
{
    char folder[] = "/tmp/pnlcache-locale.XXXXXX", command[64], text[8];

    assert_non_null(mkdtemp(folder));
    build(folder);
    assert_int_equal(setenv("LOCPATH", folder, 1), 0);
    if (setlocale(LC_ALL, "de_DE.UTF-8") == NULL)
        fail_msg("localedef did not make de_DE.UTF-8; are the sources of locales installed?");
    (void)unsetenv("LOCPATH");
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    (void)snprintf(text, sizeof text, "%.1f", 1.5);
    assert_string_equal(text, "1,5");
}

void comma_locale_end(void)
{
    assert_non_null(setlocale(LC_ALL, "C"));
}
