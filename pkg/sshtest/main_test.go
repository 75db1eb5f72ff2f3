package sshtest

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at once than there are processors: mostly
// they wait for servers that take their time on purpose.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}
