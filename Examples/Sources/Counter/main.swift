// SPDX-License-Identifier: Apache-2.0

import CounterService
import ExampleSupport

let settings = Settings()
try await serve(service(every: settings.milliseconds("interval-ms", default: 1000)), settings: settings)
