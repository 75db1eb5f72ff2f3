package repair

import (
	"slices"

	"pi-key-tools/pkg/record"
)

// curable are the causes of a failed login that the files of the account may be
// the reason of.
var curable = []string{"key-refused", "home-writable", "dir-writable", "parent-writable", "keys-writable",
	"wrong-owner", "keys-unreadable", "keys-not-a-file", "keys-misnamed"}

// PassBy reports whether a record of another command means that there is
// nothing to repair at its target: because all is well, or because repairing
// files cannot remove the cause.
func PassBy(r record.Record) bool {
	return !r.Verdict.Bad() || !slices.Contains(curable, r.Cause)
}
