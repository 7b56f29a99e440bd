"""What ``fastrfm fit`` and ``fastrfm predict`` do; `fastrfm.cli` parses for them."""
