#if Server
import HummingbirdCore
import HummingbirdTLS
import HummingbirdHTTP2
#endif
