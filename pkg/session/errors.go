package session

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ErrDenied means that the server accepted nothing of what we had to offer.
var ErrDenied = errors.New("permission denied")

// ErrSilent means that the server accepted the connection but did not send its
// version within Config.ConnectTimeout.
var ErrSilent = errors.New("no version came within ConnectTimeout")

// ErrNotSSH2 means that the server's version is not one of SSH 2 (RFC 4253
// section 5.1). What it would do next makes no difference.
var ErrNotSSH2 = errors.New("the server does not speak SSH 2")

// ErrSignature means that a signature is not one of the offered key: the
// private half is damaged, or an agent signs with another.
var ErrSignature = errors.New("its signature is wrong")

// ErrHostKey means that the server showed a host key that it does not hold: its
// signature of the key exchange is not that key's. Somebody else may be
// answering in its place.
var ErrHostKey = errors.New("the server presents a host key but cannot sign with it")

// ErrCutOff means that the server ended the connection once it had let us in.
var ErrCutOff = errors.New("the server let us in and ended the connection at once")

// ErrHostKeyTurned means that the server showed a different host key in a later
// key exchange of the same connection.
var ErrHostKeyTurned = errors.New("the server changed its host key during the connection")

// A PromptError is a question left unanswered, since it does not ask, or not
// only, for the password.
type PromptError struct {
	Questions []string // the peer's words
	New       bool     // after the password, which must be changed
	Again     bool     // after the password, which is asked for once more
}

func (e *PromptError) Error() string {
	return "the server asks: " + strings.Join(e.Questions, " ")
}

// named gives an error of x/crypto, which has no type, a name of ours.
func named(err error, turned <-chan struct{}) error {
	select {
	case <-turned: // x/crypto tells only that the connection has ended
		return ErrHostKeyTurned
	default:
	}
	if errors.Is(err, rsa.ErrVerification) || strings.Contains(err.Error(), "ssh: signature did not verify") {
		return fmt.Errorf("%w: %w", ErrHostKey, err)
	}
	return err
}

// disconnect matches x/crypto's disconnectMsg, a type that it does not export.
var disconnect = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`ssh: disconnect, reason \d+: (".*")`) })

// disconnectMessage returns the words of the server's SSH_MSG_DISCONNECT.
func disconnectMessage(err error) string {
	if m := disconnect().FindStringSubmatch(err.Error()); m != nil {
		if text, err := strconv.Unquote(m[1]); err == nil {
			return text
		}
	}
	return ""
}
