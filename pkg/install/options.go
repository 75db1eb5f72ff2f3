package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/confline"
)

// Options joins what goes before the keys in their lines: options of sshd(8),
// an expiry time, and for an authority cert-authority with the principals that
// it may admit, separated by commas. Its error is what sshd would find wrong
// with them, silently skipping the line.
func Options(options, expires string, ca bool, principals string, now time.Time) (string, error) {
	var words []string
	if ca {
		words = append(words, "cert-authority")
	}
	if principals != "" {
		if !ca {
			return "", errors.New("--principals is for certificates of an authority: --ca")
		}
		// sshd ends its list at an empty name, and takes no backslash before the
		// quote that closes it.
		if slices.Contains(strings.Split(principals, ","), "") || strings.HasSuffix(principals, `\`) || strings.ContainsFunc(principals, unicode.IsControl) {
			return "", fmt.Errorf("--principals: %q is not a list of names, separated by commas, that sshd can read", principals)
		}
		words = append(words, `principals="`+strings.ReplaceAll(principals, `"`, `\"`)+`"`)
	}
	if options = strings.TrimSpace(options); options != "" {
		words = append(words, options)
	}
	if expires != "" {
		life, err := lifetime(expires)
		if err != nil {
			return "", fmt.Errorf("--expires: %w", err)
		}
		// A date means its midnight in the zone of the server, which is not
		// known here: the key lives on to the day's end.
		words = append(words, `expiry-time="`+now.Add(life).AddDate(0, 0, 1).Format("20060102")+`"`)
	}
	joined := strings.Join(words, ",")
	if joined == "" {
		return "", nil
	}
	if err := authorizedkeys.CheckOptions(joined); err != nil {
		return "", fmt.Errorf("--options: %w", err)
	}
	return joined, nil
}

// lifetime reads how long a key lives: 90d, 1w2d, 12h, or seconds.
func lifetime(s string) (time.Duration, error) {
	seconds, err := confline.Seconds(s)
	switch {
	case err == nil && len(s) >= len("20060102") && strings.Trim(s, "0123456789") == "":
		return 0, fmt.Errorf("%s is so many seconds; a date goes into --options, as expiry-time=\"%[1]s\"", s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a time such as 90d, 1w or 12h", s)
	case seconds == 0:
		return 0, errors.New("0 is not a lifetime")
	}
	return time.Duration(seconds) * time.Second, nil
}
