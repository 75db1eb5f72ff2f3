// Command pikeygen finds or makes a key pair and prints its public key. See
// pikeygen(1).
package main

import (
	"os"

	"pi-key-tools/pkg/cli"
)

func main() { os.Exit(cli.Run(cli.System("pikeygen"), run)) }
